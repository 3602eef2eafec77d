struct Picture;

impl Picture {
    #[loky::task]
    fn resize(&self, by: u8) -> u8 {
        by
    }

    #[loky::task]
    fn consume(self: Box<Self>) {}
}

fn main() {
    Picture.resize(1);
    Box::new(Picture).consume();
}
