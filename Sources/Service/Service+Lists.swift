import Metrics
import ShaCache
import Storage

extension Service {
    /// Says of each line of a list whether a GET for it would find something.
    ///
    /// - Throws: `Refusal.malformedRequest` when a line names neither a blob nor a key; `.listTooLong`.
    func existing(_ request: Request, prefix: [UInt8]) throws -> Response {
        let names = try ExistenceList.names(in: request.list)
        if request.isLimited, let pause = lists.pause(before: names.count, from: request.clientAddress) {
            return .tooManyNames(pause: pause)
        }
        let routes = try request.routes(of: names, prefix: prefix)
        var areVisible = try areVisible(routes.compactMap(\.key)).makeIterator()
        let answers = try routes.map { route in
            if case .blob(let digest) = route { return try existence(of: digest) }
            return areVisible.next() == true ? .key : .absent
        }
        return Response(
            .ok, headers: [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")],
            body: .bytes(ExistenceList.body(answers)))
    }

    /// The database is asked only where there are keys: blobs don't need it.
    private func areVisible(_ keys: [Key]) throws -> [Bool] {
        keys.isEmpty ? [] : try listing.areVisible(keys)
    }

    private func existence(of digest: Digest) throws -> ExistenceList.Answer {
        do {
            guard try isIntact(digest), let file = store.attributes(of: digest) else { return .absent }
            return .blob(size: file.size, modified: file.modified)
        } catch is DamagedBlob {
            monitoring.recorder.add(to: .damagedBlobs)
            return .absent
        }
    }
}

extension Route {
    fileprivate var key: Key? {
        if case .entries(let key) = self { key } else { nil }
    }
}

extension Request {
    /// What the lines of a list name: blobs and keys, and nothing else.
    fileprivate func routes(of names: [ArraySlice<UInt8>], prefix: [UInt8]) throws -> [Route] {
        try names.enumerated().map { index, name in
            let route: Route?
            do {
                route = try Route.find(prefix + name, below: mount)
            } catch {
                throw Refusal.malformedRequest("line \(index + 1) of the list: \(error)")
            }
            switch route {
            case .blob, .entries: return route!
            case .blobs, .existence, .live, .ready, .metrics, nil:
                throw Refusal.malformedRequest("line \(index + 1) of the list names neither a blob nor a key")
            }
        }
    }
}

extension Response {
    /// - Parameter pause: in seconds.
    fileprivate static func tooManyNames(pause: Int) -> Response {
        Response(
            .tooManyRequests, line: "too many names in lists from this address, try again in \(pause) s",
            headers: [("Retry-After", "\(pause)")])
    }
}
