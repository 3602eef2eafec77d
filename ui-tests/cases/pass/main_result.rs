//! A `main` that returns a `Result`, with `?` inside.

#[derive(Debug)]
struct MyError;

impl From<std::num::ParseIntError> for MyError {
    fn from(_: std::num::ParseIntError) -> Self {
        Self
    }
}

loky::main! {
    fn main() -> Result<(), MyError> {
        assert_eq!("3".parse::<u8>()?, 3);
        Ok(())
    }
}
