#[loky::task]
fn add(a: u64, b: u64) -> u64
where
    u64: Copy,
{
    a + b
}

fn main() {
    let _: loky::Task<(u64, u64), u64> = add::TASK;
}
