//! A raw identifier is one also here; in the registered name it is without its mark.

mod r#mod {
    #[loky::task]
    pub(crate) fn r#type(r#in: r#u8, r#box: r#u8) -> r#u8 {
        r#in + r#box
    }
}

#[loky::task(companion = "r#fn")]
fn function() {}

fn main() {
    assert_eq!(r#mod::r#type(1, 2), 3);
    assert!(r#mod::r#type::call(1, 2).task().name().ends_with("::mod::type"));
    assert!(r#fn::TASK.name().ends_with("::function"));
}
