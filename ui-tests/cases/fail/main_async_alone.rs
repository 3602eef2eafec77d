loky::main! {
    #[allow(dead_code)]
    async fn main() {}
}
