#[loky::task]
fn serve(port: u16) -> ! {
    std::process::exit(port.into())
}

fn main() {
    let _: loky::Task<u16, ()> = serve::TASK;
}
