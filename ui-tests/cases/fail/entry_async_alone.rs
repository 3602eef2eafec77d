/// Documentation runs nothing.
#[loky::entry]
async fn main() {}
