import Client
import ShaCache
import System

extension ImportSource {
    /// Another server of the protocol, which is asked for chosen keys: none lists its own.
    ///
    /// - Parameters:
    ///   - keys: a file with a key on each line; `-` is standard input.
    ///   - cache: the URL of its blobs.
    ///   - directory: the URL of its keys.
    ///   - timeout: how long is waited for a silent server, in seconds.
    public static func http(
        keys: String, cache: String, directory: String, timeout: Int, note: @escaping @Sendable (String) -> Void
    ) throws -> ImportSource {
        let file = try keys == "-" ? Descriptor.duplicate(0, named: "standard input") : Descriptor(keys)
        let settings = Cache.Settings(
            NodeConfiguration(readingBlobsFrom: cache, entriesFrom: directory), for: .sources, retries: 4,
            timeout: timeout, reporter: Reporter(warn: note, note: { _ in }, progress: { _ in }))
        return ImportSource(phases: [RemoteKeys(settings, keys: LineReader(file))])
    }
}

/// Keys of another server.
struct RemoteKeys: ImportPhase {
    private let settings: Cache.Settings
    private let keys: Monitor<LineReader>

    init(_ settings: Cache.Settings, keys: LineReader) {
        self.settings = settings
        self.keys = Monitor(keys)
    }

    func begin(_ importer: Importer) -> () throws -> Bool {
        let cache = Cache(settings)
        return {
            guard let line = try keys.wait(for: { .some(try $0.next()) }) else { return false }
            guard !line.isEmpty else { return true }
            try importer.ledger.attempt("key \(String(decoding: line, as: UTF8.self))") {
                try importKey(line, from: cache, importer)
            }
            return true
        }
    }

    private func importKey(_ line: [UInt8], from cache: Cache, _ importer: Importer) throws {
        guard let text = String(validating: line, as: UTF8.self) else {
            throw Refusal.malformedKey("the key is not valid UTF-8")
        }
        let key = try Key(text)
        let list: [UInt8]
        do {
            list = try cache.list(of: key, limit: importer.listLimit)
        } catch CacheFailure.missing(let reason) {
            return importer.ledger.noteAbsent("key \(key.text)", reason)
        }
        try importer.storeList(list, under: key) { try bring($0, of: key, from: cache, importer) }
    }

    /// What passes keeps the entry, and those behind it, for the next run: they come in order. Of a blob that the server
    /// hasn't, or has wrong, the entry is taken, as it stands there.
    private func bring(_ digest: Digest, of key: Key, from cache: Cache, _ importer: Importer) throws {
        let item = "blob \(digest) of \(key.text)"
        do {
            try importer.storeBlob(digest) { body in
                let file = try Descriptor.duplicate(body.descriptor, named: "the spool")
                try cache.fetch(digest, into: file, admit: importer.admit)
            }
        } catch CacheFailure.missing(let reason) {
            importer.ledger.noteAbsent(item, reason)
        } catch let failure as CacheFailure where failure.isOfServer {
            throw UnfitItem("\(failure); this entry and those behind it are left for the next run")
        } catch {
            try importer.ledger.attempt(item) { throw error }
        }
    }
}

extension CacheFailure {
    /// It says nothing about what was asked for.
    fileprivate var isOfServer: Bool {
        switch self {
        case .troubled: true
        case .refused(_, let status): status >= 500
        case .unreachable, .malformed, .missing, .untrusted, .broken: false
        }
    }
}
