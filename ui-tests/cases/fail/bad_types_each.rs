struct Handle;

#[loky::task]
fn exchange(_: Handle, _: std::rc::Rc<u8>, _: Box<dyn Fn(&str) -> u8>) -> Handle {
    Handle
}

fn main() {
    let _ = exchange::TASK;
}
