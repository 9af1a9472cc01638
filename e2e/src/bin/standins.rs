//! Makes the archive of the stand-ins and prints where it is: for clusters that tests cannot load images into themselves.

fn main() {
    println!("{}", e2e::standin::archive().display());
}
