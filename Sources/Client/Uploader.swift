import HTTP
public import ShaCache

/// Uploads blobs and entries; both are idempotent. Belongs to one thread.
public struct Uploader {
    let cache: Cache
    let signature: Signature
    let reporter: Reporter

    public init(_ cache: Cache, signature: Signature, reporter: Reporter) {
        self.cache = cache
        self.signature = signature
        self.reporter = reporter
    }

    /// A blob that the cache has now.
    public struct Stored: Sendable {
        public let digest: Digest
        /// In bytes.
        public let size: Int
        /// Nothing had to be sent.
        public let wasThere: Bool
    }

    /// Files below this size are hashed before anything is sent, in bytes. From here on they are sent and hashed at
    /// once, and the sending ends when the hash is known and the cache has it.
    static let overlapThreshold = 32 << 20

    public func store(_ source: Source, item: String) throws -> Stored {
        try source.withFile(item: item, reporter: reporter) { try storeAndReadBack($0, item: item) }
    }

    public func store(_ fetched: Origin.Fetched, item: String) throws -> Stored {
        // It has a name already, and a program that waited for it may have renamed it.
        let stamp = try FileStamp(fetched.file.descriptor, countingRenames: false)
        return try storeAndReadBack(GrowingFile(whole: fetched.file, stamp: stamp), item: item)
    }

    /// Asks for a file, sends it if need be, and reads it back, with three requests of its own.
    func store(_ file: HashedFile, item: String) throws -> Stored {
        let wasThere = try cache.holds(file.digest)
        if wasThere { _ = try file.open() } else { try send(file, item: item) }
        let stored = Stored(digest: file.digest, size: file.size, wasThere: wasThere)
        if !wasThere { try readBack(stored) }
        return stored
    }

    /// Sends a file that the cache lacks, and doesn't read it back.
    func send(_ file: HashedFile, item: String) throws {
        let opened = try file.open()
        try check(send(opened, item: item) {}, is: file.digest)
        try opened.checkUnchanged()
    }

    private func storeAndReadBack(_ file: GrowingFile, item: String) throws -> Stored {
        let stored = try store(file, item: item)
        // A file that changed after it was hashed no longer has that digest.
        try file.checkUnchanged()
        if !stored.wasThere { try readBack(stored) }
        return stored
    }

    private func store(_ file: GrowingFile, item: String) throws -> Stored {
        let search = try ExistenceCheck(of: file, in: cache.settings)
        if try file.reaches(Self.overlapThreshold) { return try sendAndSearch(file, search, item: item) }
        let (digest, isThere) = try search.result()
        if !isThere { try check(send(file, item: item) {}, is: digest) }
        return Stored(digest: digest, size: try file.wholeSize(), wasThere: isThere)
    }

    private func sendAndSearch(_ file: GrowingFile, _ search: ExistenceCheck, item: String) throws -> Stored {
        let received: Digest
        do {
            received = try send(file, item: item) { if search.hasFound { throw Found() } }
        } catch is Found {
            return Stored(digest: try search.result().0, size: try file.wholeSize(), wasThere: true)
        } catch {
            // Nothing that is still to be hashed can change that.
            file.giveUp(error)
            _ = try? search.result()
            throw error
        }
        // What the search found may be this very upload.
        let (digest, _) = try search.result()
        try check(received, is: digest)
        return Stored(digest: digest, size: try file.wholeSize(), wasThere: false)
    }

    /// The cache has the blob: the rest needn't be sent.
    private struct Found: Error {}

    private func check(_ received: Digest, is digest: Digest) throws {
        guard received == digest else {
            throw CacheFailure.broken(
                "the cache stored \(received) instead of \(digest): the file changed meanwhile")
        }
    }

    /// - Parameter goesOn: called before each piece; what it throws ends the sending.
    private func send(_ file: GrowingFile, item: String, goesOn: @escaping () throws -> Void) throws -> Digest {
        func post(count: Int?) throws -> Digest {
            let body = RequestBody(count: count) { offset, buffer in
                try goesOn()
                let read = try file.read(at: offset, into: buffer)
                reporter.progress(Progress(item: item, step: .sending, done: offset + read, total: file.finalSize))
                return read
            }
            return try cache.post(body, isTrial: count == nil)
        }
        guard file.finalSize == nil else { return try post(count: file.finalSize) }
        do {
            return try post(count: nil)
        } catch let failure as CacheFailure where failure.mayBeAboutChunks {
            reporter.note("\(failure); waits for the whole file to send it with its size")
            return try post(count: file.wholeSize())
        }
    }

    /// Asks the side that nodes read from.
    func readBack(_ stored: Stored) throws {
        guard cache.reads(.cache) else { return }
        try check(cache.status(of: stored.digest), of: stored)
    }

    /// - Parameter status: what the side says that nodes read from; nil when it hasn't got the blob.
    func check(_ status: Cache.BlobStatus?, of stored: Stored) throws {
        guard let status else {
            throw CacheFailure.broken("\(stored.digest): not there after the cache accepted it")
        }
        guard status.size == nil || status.size == stored.size else {
            throw CacheFailure.broken(
                "\(stored.digest): has \(counted(status.size!, "byte")) after \(stored.size) were accepted")
        }
    }
}

extension CacheFailure {
    /// Some servers take no chunked body: they answer with an error, or close the connection.
    fileprivate var mayBeAboutChunks: Bool {
        switch self {
        case .refused(_, let status): [400, 411, 501].contains(status)
        case .unreachable, .troubled, .malformed: true
        case .missing, .untrusted, .broken: false
        }
    }
}
