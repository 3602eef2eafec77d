//! Calls `loky::init` by hand, and has a command-line parser that knows exactly one line: `--word WORD`.
#![expect(clippy::print_stdout, reason = "it is made to be listened to")]

use loky_tests::tasks;

fn parse() -> Option<String> {
    let mut args = std::env::args().skip(1);
    let word = (args.next()? == "--word").then(|| args.next())??;
    args.next().is_none().then_some(word)
}

fn main() {
    loky::init();
    let Some(word) = parse() else {
        println!("unknown arguments: {:?}", std::env::args());
        std::process::exit(64);
    };
    let variable = std::env::var("LOKY_TESTS_WORD").unwrap();
    println!("main {word} {variable}");
    let executor = loky::ProcessPoolExecutor::builder().max_workers(2).build().unwrap();
    println!("{:?}", executor.submit(tasks::arguments, ()).result().unwrap());
    println!("{:?}", executor.submit(tasks::variable, "LOKY_TESTS_WORD".into()).result().unwrap());
}
