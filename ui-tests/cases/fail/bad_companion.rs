#[loky::task(companion = "two words")]
fn words() {}

#[loky::task(companion = "fn")]
fn keyword() {}

#[loky::task(companion = name)]
fn no_string() {}

fn main() {
    let _ = (words::TASK, keyword::TASK, no_string::TASK);
}
