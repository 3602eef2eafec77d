fn used() {}

#[loky::entry]
unsafe extern "C" fn main<T>(_: i32) -> T {
    used();
    loop {}
}
