//! Nothing of the prelude is needed, and what shadows it is not taken for it.

#![no_implicit_prelude]

#[allow(non_camel_case_types)]
type u64 = ::std::string::String;
type Option = ::core::primitive::u8;
struct Result;
#[derive(::serde::Serialize, ::serde::Deserialize)]
struct Ok;
static Some: Result = Result;
static a0: Result = Result;

#[::loky::task(name = "shadowed")]
fn shadowed(a: u64, b: Option) -> Ok {
    let _ = (a, b, &Some, &a0);
    Ok
}

fn main() {
    let _: ::loky::Task<(::std::string::String, ::core::primitive::u8), Ok> = shadowed::TASK;
    ::std::assert_eq!(shadowed::TASK.name(), "shadowed");
}
