loky::main! {
    fn main();
}
