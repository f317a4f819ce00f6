import ArgumentParser
import ShaCache
import System

/// What is signed, or asked of a server, must be text; names of files need not be.
func requireText(_ arguments: String?...) throws {
    for case let argument? in arguments where argument.holdsRawBytes {
        throw ValidationError("\(argument): is not valid UTF-8")
    }
}

/// An empty name is most often a variable that isn't set.
func requireNames(_ names: String?...) throws {
    guard !names.contains("") else { throw ValidationError("the name of the file is empty") }
}

extension JSON {
    /// For people and scripts: bytes of file names that are no UTF-8 are spelled out.
    init(shown text: String) { self.init(text.shownFileName) }
}
