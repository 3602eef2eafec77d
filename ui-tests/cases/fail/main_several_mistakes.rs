loky::main! {
    unsafe extern "C" fn start<T>(_: i32) -> T {
        loop {}
    }

    const _: () = ();
}
