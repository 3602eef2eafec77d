struct Picture;

impl Picture {
    #[loky::task]
    fn resize(by: u8) -> u8 {
        by
    }
}

fn main() {
    Picture::resize(1);
}
