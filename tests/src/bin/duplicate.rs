//! Has two tasks of one name.
#![expect(clippy::print_stdout, reason = "it is made to be listened to")]

#[loky::task(name = "loky-tests.twice")]
fn first() {}

mod other {
    #[loky::task(name = "loky-tests.twice")]
    fn second() {}
}

loky::main! {
    fn main() {
        for _ in 0..2 {
            let error = loky::ProcessPoolExecutor::new().unwrap_err();
            println!("{:?} {:?}: {error}", error.kind(), error.task());
        }
    }
}
