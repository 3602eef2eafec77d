#[loky::task]
async fn fetch(address: String) -> String {
    address
}

fn main() {
    let _ = fetch(String::new());
    let _: loky::Call<String, String> = fetch::call(String::new());
}
