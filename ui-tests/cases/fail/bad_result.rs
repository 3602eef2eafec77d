struct Handle;

#[loky::task]
fn open() -> Option<Handle> {
    Some(Handle)
}

fn main() {
    let _ = (open(), open::TASK, open::call());
}
