//! Tasks may stand in modules and in the bodies of functions, of which each has its own name.

mod geo {
    #[loky::task]
    pub(crate) fn area(a: u64) -> u64 {
        a * a
    }
}

fn first() -> loky::Task<u64, u64> {
    #[loky::task]
    fn local(a: u64) -> u64 {
        a
    }
    local::TASK
}

fn main() {
    #[loky::task]
    fn local() {}
    assert!(geo::area::TASK.name().ends_with("::geo::area"));
    assert!(first().name().ends_with("::first::local"));
    assert!(local::TASK.name().ends_with("::main::local"));
    assert_ne!(first().name(), local::TASK.name());
}
