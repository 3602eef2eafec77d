//! Tasks that a `macro_rules!` writes, with its own names and those it is given.

mod types {
    pub(crate) type Number = u32;
}

macro_rules! task {
    ($vis:vis $name:ident($arg:ident: $ty:ty) = $name_text:literal) => {
        #[loky::task(name = $name_text)]
        $vis fn $name(a: $ty, $arg: $crate::types::Number) -> Result<$ty, String> {
            Ok(a + <$ty>::from($arg))
        }
    };
}

task!(pub(crate) add(a: u64) = "add");

fn main() {
    assert_eq!(add(1, 2), Ok(3));
    assert_eq!(add::call(1, 2).task().name(), "add");
}
