import ShaCache
import System

/// What the stages of an upload do, and the queues between them. All threads share it.
final class UploadStages: Sendable {
    /// A file that is hashed, and the index of its source.
    struct StagedFile: Sendable {
        let index: Int
        let contents: HashedFile
        /// Another source of this call had the same bytes.
        var isRepeated = false
    }

    enum Lacking: Sendable {
        /// The cache hasn't got it.
        case file(StagedFile)
        /// The server takes no lists: the sending thread asks for it.
        case unasked(StagedFile)
        /// Not hashed yet.
        case source(Int)
    }

    let hashed = WorkQueue<StagedFile>()
    let lacking = WorkQueue<Lacking>()
    let accepted = WorkQueue<StagedFile>()

    private let sources: [(source: Source, item: String)]
    private let settings: Cache.Settings
    private let uploader: @Sendable () -> Uploader
    private let finished: @Sendable (Int, Result<Uploader.Stored, any Error>) -> Void
    private let window = ReadAhead()
    /// What this call has stored: two sources may be the same bytes.
    private let stored = Monitor<Set<Digest>>([])

    init(
        _ sources: [(source: Source, item: String)], settings: Cache.Settings,
        uploader: @escaping @Sendable () -> Uploader,
        finished: @escaping @Sendable (Int, Result<Uploader.Stored, any Error>) -> Void
    ) {
        self.sources = sources
        self.settings = settings
        self.uploader = uploader
        self.finished = finished
    }

    func hash(_ index: Int) {
        guard case .file(let path) = sources[index].source else { return lacking.add(.source(index)) }
        do {
            guard let contents = try HashedFile(path, below: Uploader.overlapThreshold) else {
                return lacking.add(.source(index))
            }
            window.enter(contents.size)
            hashed.add(StagedFile(index: index, contents: contents))
        } catch {
            finished(index, .failure(error))
        }
    }

    /// One thread's work.
    func askAll() {
        let cache = Cache(settings)
        while case let files = hashed.take(upTo: Cache.listLength), !files.isEmpty { ask(for: files, cache) }
    }

    private func ask(for files: [StagedFile], _ cache: Cache) {
        do {
            guard let isThere = try presence(of: files, cache) else {
                for file in files { lacking.add(.unasked(file)) }
                return
            }
            for (file, isThere) in zip(files, isThere) {
                if isThere { finishUnsent(file) } else { lacking.add(.file(file)) }
            }
        } catch {
            for file in files {
                window.leave(file.contents.size)
                finished(file.index, .failure(error))
            }
        }
    }

    /// - Returns: nil when the server takes no lists.
    private func presence(of files: [StagedFile], _ cache: Cache) throws -> [Bool]? {
        guard cache.reads(.cache) else { return files.map { _ in false } }
        return try cache.statuses(of: files.map(\.contents.digest))?.map { $0 != nil }
    }

    private func finishUnsent(_ file: StagedFile) {
        window.leave(file.contents.size)
        finished(
            file.index,
            Result {
                // A file that changed after it was hashed no longer has that digest.
                _ = try file.contents.open()
                return file.contents.stored(wasThere: true)
            })
    }

    /// The work of each thread that sends.
    func sendAll() {
        let uploader = uploader()
        while let next = lacking.next() {
            switch next {
            case .source(let index):
                let (source, item) = sources[index]
                finished(index, Result { try uploader.store(source, item: item) })
            case .unasked(let file):
                window.leave(file.contents.size)
                finished(file.index, Result { try uploader.store(file.contents, item: sources[file.index].item) })
            case .file(let file):
                window.leave(file.contents.size)
                send(file, uploader)
            }
        }
    }

    private func send(_ file: StagedFile, _ uploader: Uploader) {
        var file = file
        let digest = file.contents.digest
        do {
            file.isRepeated = stored.wait { $0.contains(digest) }
            if !file.isRepeated { try uploader.send(file.contents, item: sources[file.index].item) }
            stored.change { $0.insert(digest) }
            accepted.add(file)
        } catch {
            finished(file.index, .failure(error))
        }
    }

    /// One thread's work.
    func readBackAll() {
        let uploader = uploader()
        while case let files = accepted.take(upTo: Cache.listLength), !files.isEmpty { readBack(files, uploader) }
    }

    private func readBack(_ files: [StagedFile], _ uploader: Uploader) {
        let digests = files.map(\.contents.digest)
        let statuses = Result { try uploader.cache.reads(.cache) ? uploader.cache.statuses(of: digests) : nil }
        for (number, file) in files.enumerated() {
            finished(
                file.index,
                Result {
                    let stored = file.contents.stored(wasThere: file.isRepeated)
                    if let statuses = try statuses.get() {
                        try uploader.check(statuses[number], of: stored)
                    } else {
                        try uploader.readBack(stored)
                    }
                    return stored
                })
        }
    }
}

extension HashedFile {
    fileprivate func stored(wasThere: Bool) -> Uploader.Stored {
        Uploader.Stored(digest: digest, size: size, wasThere: wasThere)
    }
}
