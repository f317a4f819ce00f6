import Glibc

/// Runs `body` in the locale "C", where names are bytes: in others, libarchive composes what is decomposed Unicode in
/// the names of a PAX archive, and so names other files.
func inCLocale<Result>(_ body: () throws -> Result) rethrows -> Result {
    let plain = newlocale(1 << LC_CTYPE, "C", nil)
    let before = uselocale(plain)
    defer {
        uselocale(before)
        freelocale(plain)
    }
    return try body()
}
