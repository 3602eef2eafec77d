#[loky::task]
#[target_feature(enable = "sse2")]
fn wide(a: u64) -> u64 {
    a
}

fn main() {
    let _: loky::Task<u64, u64> = wide::TASK;
}
