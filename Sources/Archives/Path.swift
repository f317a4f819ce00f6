import Glibc
import System

/// A path as the kernel has it: bytes, which need not be UTF-8.
struct Path: Hashable, Sendable {
    typealias Component = ArraySlice<UInt8>

    let bytes: [UInt8]

    init(_ text: String) { bytes = text.fileNameBytes }

    init(cString: UnsafePointer<CChar>) {
        bytes = Array(UnsafeRawBufferPointer(start: cString, count: strlen(cString)))
    }

    init(_ components: some Collection<Component>) { bytes = Array(components.joined(separator: [slash])) }

    var isAbsolute: Bool { bytes.first == slash }

    /// Without the empty ones and `.`, which lead nowhere.
    var components: [Component] { bytes.split(separator: slash).filter { $0 != [dot] } }

    var parent: Path { Path(components.dropLast()) }

    /// Whether it is a valid name of one file in a directory.
    var isName: Bool { bytes != [dot] && components == [bytes[...]] && !climbs && !bytes.contains(0) }

    /// Whether it has a component `..`.
    var climbs: Bool { components.contains([dot, dot]) }

    func appending(_ name: Path) -> Path { Path([bytes[...], name.bytes[...]]) }

    func withCString<Result>(_ body: (UnsafePointer<CChar>) throws -> Result) rethrows -> Result {
        try (bytes + [0]).withUnsafeBytes { try body($0.assumingMemoryBound(to: CChar.self).baseAddress!) }
    }
}

private let slash = UInt8(ascii: "/")
private let dot = UInt8(ascii: ".")

/// Bytewise: the same order in every locale.
extension Path: Comparable {
    static func < (left: Path, right: Path) -> Bool { left.bytes.lexicographicallyPrecedes(right.bytes) }
}

/// For messages: a name out of a hostile archive must not steer the terminal.
extension Path: CustomStringConvertible {
    var description: String {
        String(fileName: bytes).shownFileName.unicodeScalars.reduce(into: "") { text, scalar in
            let isPlain = ![.control, .format, .lineSeparator, .paragraphSeparator].contains(
                scalar.properties.generalCategory)
            text += !isPlain ? scalar.escaped(asASCII: true) : String(scalar)
        }
    }
}
