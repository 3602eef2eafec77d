//! A `main` that an attribute makes a plain function of.

loky::main! {
    #[tokio::main(flavor = "current_thread")]
    async fn main() -> Result<(), std::num::ParseIntError> {
        let three: u8 = async { "3".parse() }.await?;
        assert_eq!(three, 3);
        Ok(())
    }
}
