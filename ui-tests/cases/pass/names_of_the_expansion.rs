//! Tasks and types may be named like anything that an expansion is likely to contain.

macro_rules! tasks {
    ($($name:ident)*) => {
        $(#[loky::task] fn $name($name: u8, args: loky::W0) -> u8 { let _ = args; $name })*
        fn names() -> Vec<&'static str> { vec![$($name::TASK.name()),*] }
    };
}

mod loky {
    pub(crate) use ::loky::task;
    pub(crate) type W0 = Vec<super::ValueCodec>;
}

#[derive(serde::Serialize, serde::Deserialize)]
struct ValueCodec;

tasks!(path encode run call TASK v1 entry typed out args core ENTRY OUT W0 task line file);

fn main() {
    assert_eq!(run(1, vec![ValueCodec]), 1);
    assert_eq!(call::call(1, vec![]).task().name(), call::TASK.name());
    assert_eq!(names().len(), 17);
}
