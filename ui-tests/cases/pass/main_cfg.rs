//! One `main` for each platform.

loky::main! {
    #[cfg(any())]
    fn main() {
        no_such_function();
    }
}

loky::main! {
    #[cfg(not(any()))]
    #[cfg_attr(not(any()), inline(never))]
    fn main() {}
}
