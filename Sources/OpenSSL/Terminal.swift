import COpenSSL
import Glibc

/// Asks for a passphrase on the terminal, which doesn't show it.
///
/// - Returns: nil when standard input is no terminal, or nothing was typed.
public func passphraseFromTerminal(_ prompt: String) -> [UInt8]? {
    guard isatty(STDIN_FILENO) == 1 else { return nil }
    var typed = [CChar](repeating: 0, count: 1024)
    guard EVP_read_pw_string(&typed, Int32(typed.count), prompt, 0) == 0 else { return nil }
    let bytes = typed.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
    return bytes.isEmpty ? nil : bytes
}
