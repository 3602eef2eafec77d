//! Prints how many CPUs it may use, and how many cores.
#![expect(clippy::print_stdout, reason = "it is made to be listened to")]

fn main() {
    println!("{} {}", loky::cpu_count(), loky::physical_cpu_count());
}
