//! An `async fn main` whose runtime stands below the entry.

#[loky::entry]
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), std::num::ParseIntError> {
    let three: u8 = async { "3".parse() }.await?;
    assert_eq!(three, 3);
    Ok(())
}
