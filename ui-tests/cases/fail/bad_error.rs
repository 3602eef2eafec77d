#[loky::task]
fn read(path: String) -> Result<String, std::io::Error> {
    std::fs::read_to_string(path)
}

fn main() {
    let _ = (read(String::new()), read::TASK, read::call(String::new()));
}
