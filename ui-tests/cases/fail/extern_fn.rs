#[loky::task]
extern "C" fn add(a: u64, b: u64) -> u64 {
    a + b
}

fn main() {
    add(1, 2);
    let _: loky::Call<(u64, u64), u64> = add::call(1, 2);
}
