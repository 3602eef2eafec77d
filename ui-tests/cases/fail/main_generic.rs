loky::main! {
    fn main<T>() {}
}
