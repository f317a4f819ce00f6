import ShaCache
import Storage

extension Service {
    /// Optimistic: decides by the thread's cached accounts and signers, and again by fresh ones where those would
    /// refuse, or have changed by the time of the transaction.
    func upload(_ request: Request, _ operation: Operation.Upload, upload: inout UploadRecord) throws -> Response {
        let untouched = upload
        // A question before the body is answered by the state now, and for the rest of the request as well.
        if request.purpose == .admission {
            identityCache.forget(identityCache.fingerprint(of: request.certificate))
        }
        return try ChangedMeanwhile.decidingAnew {
            $0 is ChangedMeanwhile || ($0 is Refusal && identityCache.wasUsed)
        } forget: {
            identityCache.forget(upload.certificate)
            upload = untouched
        } _: {
            identityCache.beginAttempt()
            return try attempt(request, operation, upload: &upload)
        }
    }

    private func attempt(
        _ request: Request, _ operation: Operation.Upload, upload: inout UploadRecord
    ) throws -> Response {
        let account = try identify(request, certificate: &upload.certificate, account: &upload.account)
        upload.isIdentified = true
        try account.checkRole(upload.target.role, to: "upload \(upload.target.role)")
        if let key = upload.key { try account.checkKeyPrefix(of: key) }
        let length = try request.declaredLength(of: upload.target)
        if length == nil { try checkChunks(of: upload.target, by: account) }
        try checkLimit(length ?? 0, for: upload.target, of: account)
        guard request.purpose != .admission else {
            try store.admit(bytes: length ?? 0)
            try checkRoom(for: upload, length: length, of: account)
            return Response(.noContent)
        }
        // The bytes that came with the request have their room already.
        try store.admit(bytes: 0)
        upload.noteReceived()

        let file = try request.openBody(in: store)
        defer { file.discard() }
        try measure(file, declared: length, of: account, upload: &upload)
        switch operation {
        case .entry(let key):
            try takeEntry(file, under: key, upload: &upload)
            return Response(.created)
        case .blob:
            let digest = try blobs.store(file, as: upload.sha512, record: &upload)
            return Response(
                .created, headers: [("Content-Type", "text/plain")], body: .bytes(Array(digest.description.utf8)))
        }
    }

    /// What has no room in its account is refused before it comes. Small bodies come unasked; and of all, the
    /// transaction that stores them decides.
    private func checkRoom(for upload: UploadRecord, length: Int?, of account: Account) throws {
        guard upload.target == .blob else { return }
        try session.retryingWhileUnavailable { try blobs.admit(upload.sha512, size: length, of: account) }
    }

    private func measure(
        _ file: borrowing SpooledBody, declared length: Int?, of account: Account, upload: inout UploadRecord
    ) throws {
        let size = try file.size()
        upload.bytes = size
        guard length == nil || length == size else {
            throw Refusal.incompleteBody(expected: length ?? 0, received: size)
        }
        try checkLimit(size, for: upload.target, of: account)
    }

    /// What comes in chunks has no length before it is there: it would take room first and be refused then.
    private func checkChunks(of target: UploadTarget, by account: Account) throws(Refusal) {
        guard target == .blob else { throw .entryWithoutLength }
        guard rules.blobSize == nil else {
            throw .lengthRequired("blobs have a limit in bytes here: send a Content-Length")
        }
        guard account.limits[.bytes] == nil, account.limits[.blobSize] == nil else {
            throw .lengthRequired("the account \(account.name) has a limit in bytes: send a Content-Length")
        }
    }

    private func checkLimit(_ bytes: Int, for target: UploadTarget, of account: Account) throws(Refusal) {
        switch target {
        case .entry where bytes > Entry.sizeLimit: throw .entryTooLarge(limit: Entry.sizeLimit)
        case .entry: return
        case .blob: try rules.checkSize(bytes, of: account)
        }
    }

    private func takeEntry(_ file: borrowing SpooledBody, under key: Key, upload: inout UploadRecord) throws {
        let entry = try Entry(body: try file.contents())
        upload.sha512 = entry.sha512
        try rules.judge(entry, under: key, record: &upload) {
            try identityCache.signers { try session.retryingWhileUnavailable { try Signers(session).known() } }
        }
        let record = upload
        try upload.timing("commit") {
            try listing.store(entry, under: key, upload: record, limits: rules.keys)
        }
    }
}

extension UploadTarget {
    fileprivate var role: Role {
        switch self {
        case .blob: .blobs
        case .entry: .entries
        }
    }
}

extension Refusal {
    fileprivate static let entryWithoutLength = Refusal.lengthRequired("an entry needs a Content-Length")
}

extension Request {
    /// In bytes; nil when the body comes in chunks.
    fileprivate func declaredLength(of target: UploadTarget) throws(Refusal) -> Int? {
        guard contentLength.isEmpty else {
            guard let length = Int(contentLength), length >= 0 else {
                throw .malformedRequest("the Content-Length is not a number")
            }
            return length
        }
        guard !transferEncoding.isEmpty else {
            guard target == .blob else { throw .entryWithoutLength }
            throw .lengthRequired("send a Content-Length, or the body in chunks")
        }
        return nil
    }

    fileprivate func openBody(in store: LocalBlobs) throws(StoreError) -> SpooledBody {
        if bodyFile.isEmpty { return try SpooledBody(creatingIn: store) }
        return try SpooledBody(named: bodyFile, in: store)
    }
}
