loky::main! {
    fn main(args: Vec<String>) -> usize {
        args.len()
    }
}
