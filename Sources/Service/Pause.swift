import Glibc

/// Lets the calling thread sleep; a signal may end the sleep early, which no caller minds.
func pause(milliseconds: Int) {
    let time = timespec(tv_sec: milliseconds / 1000, tv_nsec: milliseconds % 1000 * 1_000_000)
    withUnsafePointer(to: time) { _ = nanosleep($0, nil) }
}
