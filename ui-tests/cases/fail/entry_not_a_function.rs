#[loky::entry]
struct Program;

fn main() {
    let _ = Program;
}
