import Glibc
import Gzip
import System

/// Reads a file of the journal, compressed or not. What is damaged is left out, and counted; what follows it is read all the
/// same.
struct JournalReader {
    /// What was wrong with a file.
    struct Damage: Equatable {
        /// Places, each of one record or, where the file is compressed, of all in one member.
        var places = 0
        /// It ends in the middle of a record: its process was killed, or the machine lost power. Such a record was not
        /// acknowledged.
        var isTorn = false
    }

    private let body: (JournalKind, ArraySlice<UInt8>) throws -> Void
    private var damage = Damage()
    private var lines = LineBuffer()

    /// - Parameter body: is called with the value of each record: JSON.
    private init(_ body: @escaping (JournalKind, ArraySlice<UInt8>) throws -> Void) { self.body = body }

    /// - Throws: `JournalIsNewer`; a `StoreError` when the file can't be read; what `body` throws.
    static func read(
        _ path: String, _ body: @escaping (JournalKind, ArraySlice<UInt8>) throws -> Void
    ) throws -> Damage {
        var reader = JournalReader(body)
        let file = try Descriptor(inStore: path, named: "a file of the journal")
        if path.hasSuffix(JournalFile.compressedSuffix) {
            try reader.takeCompressed(file)
        } else {
            try file.forEachPiece { try reader.take($0) }
        }
        try reader.finish()
        return reader.damage
    }

    private mutating func take(_ piece: UnsafeRawBufferPointer) throws {
        lines.append(piece)
        while let line = lines.next() { if !line.isEmpty { try take(line: line) } }
    }

    /// What has no newline behind it is whole when the newline alone is missing.
    private mutating func finish() throws {
        let end = lines.removeRest()
        guard !end.isEmpty else { return }
        let places = damage.places
        try take(line: end)
        guard damage.places > places else { return }
        (damage.places, damage.isTorn) = (places, true)
    }

    private mutating func take(line: ArraySlice<UInt8>) throws {
        if let object = JournalLine.object(in: line) { return try take(object: object) }
        damage.places += 1
        // Where the newline itself was damaged, two records stand on one line.
        for start in starts(in: line) {
            guard let object = JournalLine.object(in: line[start...]) else { continue }
            if let first = JournalLine.object(in: line[..<start].dropLast()) { try take(object: first) }
            return try take(object: object)
        }
    }

    /// Where else than at its beginning a line could begin. No text in JSON has these three bytes, since it would escape the
    /// quote.
    private func starts(in line: ArraySlice<UInt8>) -> [Int] {
        let sign = Array(" {\"".utf8)
        let first = line.startIndex + 2 * JournalLine.checksumBytes + 1
        guard first + sign.count < line.endIndex else { return [] }
        return (first..<(line.endIndex - sign.count)).filter {
            line[$0] == sign[0] && line[$0 + 1] == sign[1] && line[$0 + 2] == sign[2]
        }.map { $0 - 2 * JournalLine.checksumBytes }
    }

    private func take(object: ArraySlice<UInt8>) throws {
        let named = object.dropFirst(2).prefix { $0 != UInt8(ascii: "\"") }
        let value = object.dropFirst(2 + named.count + 2).dropLast()
        // A kind that a later release has added.
        guard let kind = JournalKind(rawValue: String(decoding: named, as: UTF8.self)) else { throw JournalIsNewer() }
        if kind == .header { try checkVersion(value) } else { try body(kind, value) }
    }

    private func checkVersion(_ header: ArraySlice<UInt8>) throws {
        let version = "{\"version\":\(JournalFile.version),"
        guard header.starts(with: version.utf8) else { throw JournalIsNewer() }
    }
}

extension [UInt8] {
    /// Of the first such byte from there on. By memchr(3): all of a compressed journal goes through it.
    fileprivate func index(of byte: UInt8, from start: Int) -> Int? {
        withUnsafeBytes { bytes in
            guard start < bytes.count, let base = bytes.baseAddress else { return nil }
            return memchr(base + start, CInt(byte), bytes.count - start).map { UnsafeRawPointer($0) - base }
        }
    }
}

/// A later release has written it.
struct JournalIsNewer: Error, CustomStringConvertible {
    var description: String { "a file of the journal was written by a later release: use its programs" }
}

extension JournalReader {
    /// Each member holds whole lines, and is inflated by itself: so one that is damaged takes no other with it.
    private mutating func takeCompressed(_ file: borrowing Descriptor) throws {
        var members: [UInt8] = []
        try file.forEachPiece { piece in
            members.append(contentsOf: piece)
            try takeMembers(&members, isEnd: false)
        }
        try takeMembers(&members, isEnd: true)
    }

    /// - Parameter members: a last one that may go on stays in it.
    private mutating func takeMembers(_ members: inout [UInt8], isEnd: Bool) throws {
        var (starts, next, header) = ([Int](), 0, memberHeader)
        while let start = members.index(of: header[0], from: next) {
            if members[start...].starts(with: header) { starts.append(start) }
            next = start + 1
        }
        if isEnd { starts.append(members.count) }
        if let first = starts.first, first > 0 { damage.places += 1 }
        for (start, end) in zip(starts, starts.dropFirst()) { try take(member: members[start..<end]) }
        if let last = starts.last { members.removeFirst(last) }
    }

    private mutating func take(member: ArraySlice<UInt8>) throws {
        var stream = InflateStream()
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)
        defer { buffer.deallocate() }
        try member.withUnsafeBytes { input in
            stream.feed(input)
            while !stream.isBetweenMembers {
                guard let count = try? stream.inflate(into: buffer), count > 0 || stream.isBetweenMembers else { break }
                try take(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            }
        }
        guard !stream.isBetweenMembers else { return try finish() }
        damage.places += 1
        // The rest of a line that came out of it goes with no other.
        lines.removeRest()
    }
}
