//! Does what the lines of its stdin say, each with a new executor, and answers each with a line.
#![expect(clippy::print_stdout, reason = "it is made to be listened to")]

use loky::ProcessPoolExecutor;
use loky_tests::tasks;

fn answer(command: &str) -> loky::Result<String> {
    let executor = ProcessPoolExecutor::builder().max_workers(2).build()?;
    Ok(match command {
        "add" => executor.submit(tasks::add, (1, 2)).result()?.to_string(),
        "print" => {
            let texts = ("to stdout\n".to_owned(), "to stderr\n".to_owned());
            executor.submit(tasks::print, texts).result().map(|()| "printed".to_owned())?
        }
        "print unfinished" => {
            let texts = ("no end of the line".to_owned(), String::new());
            executor.submit(tasks::print, texts).result().map(|()| "printed".to_owned())?
        }
        other => panic!("no command: {other}"),
    })
}

loky::main! {
    fn main() {
        println!("main");
        for command in std::io::stdin().lines() {
            match answer(&command.unwrap()) {
                Ok(answer) => println!("{answer}"),
                Err(error) => println!("{:?}: {error}", error.kind()),
            }
        }
    }
}
