#[loky::task]
unsafe fn peek(address: usize) -> u8 {
    address as u8
}

fn main() {
    let _: loky::Task<usize, u8> = peek::TASK;
}
