trait Resize {
    #[loky::task]
    fn resize(by: u8) -> u8;
}

fn main() {}
