struct Picture;

impl Picture {
    #[loky::task]
    fn new() -> Option<Self> {
        Some(Self)
    }
}

fn main() {
    Picture::new();
}
