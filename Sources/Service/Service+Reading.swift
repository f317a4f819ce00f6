import Metrics
import ShaCache
import Storage

extension Service {
    /// The blob itself is sent by nginx: the answer names the file, and nginx adds length and ranges.
    /// What isn't here is asked for at the upstreams, if there are any.
    func blob(_ digest: Digest, for request: Request) throws -> Response {
        let isIntact = try hasUpstreams ? existence(of: digest) != .absent : self.isIntact(digest)
        guard isIntact || hasUpstreams else { return Response(.notFound, line: digest.absence) }
        let tag = "\"\(digest)\""
        let headers = [
            ("Content-Type", "application/octet-stream"),
            ("Cache-Control", "public, max-age=31556926, immutable"),
            ("ETag", tag),
        ]
        // RFC 9110, 13.2.2: If-Match first, then If-None-Match.
        guard request.ifMatch.isEmpty || request.ifMatch.lists(tag, weakly: false, orAny: true) else {
            return Response(.preconditionFailed, line: "the blob's ETag is \(tag)")
        }
        // Whoever has these bytes needs no others; only `*` asks whether there are any.
        if request.ifNoneMatch.lists(tag, weakly: true, orAny: isIntact) {
            return Response(.notModified, headers: headers)
        }
        let delivery = request.delivery(tag)
        guard isIntact else { return Response(.ok, body: .fetched(.blob(digest, delivery))) }
        // Where nginx asks again, the headers come with the second answer.
        return Response(
            .ok, headers: delivery == .asAsked ? headers : [], body: .file(BlobFile(digest: digest, delivery: delivery))
        )
    }

    func isIntact(_ digest: Digest) throws -> Bool {
        let presence = try blobs.presence(of: digest)
        if case .damaged(let damage) = presence { throw DamagedBlob(digest: digest, damage: damage) }
        return presence == .intact
    }

    func entries(of key: Key) throws -> Response {
        guard hasUpstreams else { return .list(try listing.list(of: key).map { KeyList(bytes: $0) }, of: key) }
        let fetched = FetchedKeys(session)
        switch try fetched.age(of: key, keyAges) {
        case .fresh: break
        case .stale: try fetched.want(key)
        case .outdated: return Response(.ok, body: .fetched(.key(key)))
        }
        return .list(try fetched.list(of: key), of: key)
    }

    /// - Parameter uploads: whether they must be possible, beside lookups and downloads.
    func readiness(for uploads: Bool) -> Response {
        do {
            if uploads, let obstacle = try obstacleToUploads() { return Response(.serviceUnavailable, line: obstacle) }
            let schema = try Migrations(session).newestApplied() ?? 0
            guard schema >= Migrations.needed else {
                return Response(
                    .serviceUnavailable,
                    line: "the database has schema \(schema), this worker needs \(Migrations.needed)")
            }
            if uploads { try store.probe() } else { try store.checkShelves() }
        } catch {
            return Response(.serviceUnavailable, line: "\(error)")
        }
        return Response(.ok, line: "ready")
    }

    private func obstacleToUploads() throws -> String? {
        switch try session.readOnlyReason() {
        case .standby: return "the database is a standby, which takes no uploads"
        case .settings: return "the database is read-only, and takes no uploads"
        case nil: break
        }
        guard try monitoring.databaseCommits() else {
            return "the database commits nothing: it waits for a synchronous standby, or its disk hangs"
        }
        return nil
    }
}

extension Response {
    fileprivate static func list(_ list: KeyList?, of key: Key) -> Response {
        guard let list else { return Response(.notFound, line: key.absence) }
        return Response(.ok, headers: listHeaders(list.provenance), body: .bytes(list.bytes))
    }
}

/// A blob whose file is not as it was stored. To a client it is as absent as any other, until the next upload of the
/// same bytes heals it.
struct DamagedBlob: Error {
    let digest: Digest
    let damage: String
}

extension Request {
    /// Without the conditions that hold. Of an If-Range that doesn't, nginx's own judgement is the right one.
    fileprivate func delivery(_ tag: String) -> BlobDelivery {
        if ifMatch.isEmpty { return ifRange == tag ? .withoutConditions : .asAsked }
        return ifRange.isEmpty || ifRange == tag ? .withoutConditions : .whole
    }
}

extension String {
    /// Whether a list of entity tags (RFC 9110, 13.1.1 and 13.1.2) holds `tag`, or `*` where that counts.
    fileprivate func lists(_ tag: String, weakly: Bool, orAny: Bool) -> Bool {
        split(separator: ",").contains { item in
            let item = item.drop { $0 == " " }.prefix { $0 != " " }
            return item == tag || (item == "*" && orAny) || (weakly && item == "W/\(tag)")
        }
    }
}

extension Service {
    /// Says of each line of a list whether a GET for it would find something here: no upstream is asked.
    ///
    /// - Parameter found: gets what was there, for the record of use.
    /// - Throws: `Refusal.malformedRequest` when a line names neither a blob nor a key; `.listTooLong`.
    func existing(_ request: Request, prefix: [UInt8], found: inout FoundNames) throws -> Response {
        let names = try ExistenceList.names(in: request.body)
        if request.isLimited, let pause = lists.take(names.count, from: request.clientAddress) {
            return .tooManyNames(pause: pause)
        }
        let routes = try request.routes(of: names, prefix: prefix)
        var areVisible = try areVisible(routes.compactMap(\.key)).makeIterator()
        let answers = try routes.map { route in
            if case .blob(let digest) = route { return try existence(of: digest) }
            return areVisible.next() == true ? .key : .absent
        }
        for (route, answer) in zip(routes, answers) where answer != .absent { found.append(route) }
        return Response(
            .ok, headers: [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")],
            body: .bytes(ExistenceList.body(answers)))
    }

    /// The database is asked only where there are keys: blobs don't need it.
    private func areVisible(_ keys: [Key]) throws -> [Bool] {
        keys.isEmpty ? [] : try listing.areVisible(keys, includingFetched: hasUpstreams)
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

extension FoundNames {
    fileprivate mutating func append(_ route: Route) {
        if case .blob(let digest) = route { blobs.append(digest) }
        if let key = route.key { keys.append(key) }
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
            case .blobs, .existence, .live, .ready, .metrics, .feed, .accountRequests, .accountRequest, nil:
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
