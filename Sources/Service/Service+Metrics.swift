import Glibc
import Metrics
import Postgres
import ShaCache
import Storage

extension Service {
    /// - Throws: `Refusal.notAuthorized`, unless a monitor or an operator asks.
    func metrics(for request: Request) throws -> Response {
        let database = try databaseFigures(for: request)
        var exposition = Exposition()
        exposition.addWorkers(monitoring.snapshots)
        exposition.addStore(store)
        exposition.addDatabase(database)
        exposition.addAccountRequests(database.accountRequests, most: accountRequests?.limits.waiting)
        exposition.addUpkeep(database)
        exposition.addFetched(database)
        if let fetcherAnswers = monitoring.fetcherAnswers { exposition.addFetcher(isUp: fetcherAnswers()) }
        exposition.addCertificates(in: monitoring.certificates)
        return Response(
            .ok, headers: [("Content-Type", Exposition.contentType), ("Cache-Control", "no-store")],
            body: .bytes(Array(exposition.text.utf8)))
    }

    private func databaseFigures(for request: Request) throws -> DatabaseFigures {
        let certificate = request.isMonitor ? nil : try certificate(of: request, else: .notForStrangers)
        if let figures = try monitoring.databaseFigures(for: certificate) { return figures }
        // An unknown certificate: this waits for the database as long as any other request does.
        guard let certificate, try Identities(session).status(ofCertificate: certificate).isByOperator else {
            throw Refusal.notForStrangers
        }
        return DatabaseFigures()
    }

    /// The SHA-256 of the certificate that was shown, and verifies.
    func certificate(of request: Request, else refusal: Refusal) throws(Refusal) -> [UInt8] {
        guard request.certificateVerification == "SUCCESS",
            let certificate = ClientCertificate(escaped: request.certificate)
        else { throw refusal }
        return certificate.fingerprint
    }

    /// Counts a request with its answer. What nginx asks for itself, and what is then agreed to, is no request of a
    /// client's.
    func countRequest(_ request: Request, _ route: Route?, _ answer: AnsweredRequest) {
        let (recorder, response) = (monitoring.recorder, answer.response)
        // Refused requests for /metrics are no figures of the cache.
        if let failure = answer.failure, route?.name != Route.metrics.name { recorder.countFailure(failure) }
        if let upload = answer.upload { recorder.countUpload(upload, isAccepted: response.status == .created) }
        recorder.countStatements(session.statistics, since: counted)
        counted = session.statistics
        recorder.countJournal(store.journalFigures())
        recorder.set(.readOnly, to: store.isReadOnly ? 1 : 0)
        guard request.purpose != .admission || response.status.isError else { return }
        recorder.add(to: .requests, route?.name ?? "", request.method, "\(response.status.rawValue)")
        if hasUpstreams { recorder.countNearAnswer(route, response) }
        guard request.method != "HEAD" else { return }
        let isList = if case .entries = route { response.status == .ok } else { false }
        recorder.add(response.bytes.count, to: .sentBytes, isList ? "entry" : "message")
    }
}

extension Recorder {
    fileprivate func countFailure(_ failure: RequestFailure) {
        switch failure.origin {
        case .failed(let name): add(to: .failures, name.rawValue)
        case .damagedBlob: add(to: .damagedBlobs)
        case .refused(let name): add(to: .refusals, name.rawValue)
        }
    }

    fileprivate func countUpload(_ upload: UploadRecord, isAccepted: Bool) {
        for (name, duration) in upload.stages { observe(duration, in: .uploadStageSeconds, name) }
        if let bytes = upload.bytes { add(bytes, to: .receivedBytes, upload.target.rawValue) }
        if let result = upload.signatureResult { add(to: .signatures, result.name) }
        if isAccepted { observe(upload.start.duration(to: .now), in: .uploadSeconds, upload.target.rawValue) }
    }

    /// Of a near cache: whether it had what was asked for.
    fileprivate func countNearAnswer(_ route: Route?, _ response: Response) {
        let target: String
        switch route {
        case .blob: target = "blob"
        case .entries: target = "key"
        default: return
        }
        switch response.body {
        case .fetched: add(to: .nearRequests, target, "miss")
        case .file: add(to: .nearRequests, target, "hit")
        case .bytes where response.status == .ok && target == "key": add(to: .nearRequests, target, "hit")
        case .bytes: return
        }
    }

    fileprivate func countJournal(_ figures: JournalFigures?) {
        guard let figures else { return }
        add(figures.records, to: .journalRecords)
        add(figures.writes, to: .journalWrites)
        addTime(figures.duration, to: .journalSeconds)
        add(figures.failures, to: .journalFailures)
    }

    fileprivate func countStatements(_ now: Statistics, since before: Statistics) {
        guard now.statements > before.statements else { return }
        add(now.statements - before.statements, to: .databaseStatements)
        addTime(now.waited - before.waited, to: .databaseSeconds)
        add(now.sessions - before.sessions, to: .databaseSessions)
        for (kind, number) in now.failures {
            add(number - before.failures[kind, default: 0], to: .databaseErrors, kind.rawValue)
        }
    }
}

extension Route {
    /// The value of the label `route`.
    fileprivate var name: String {
        switch self {
        case .blobs: "blobs"
        case .blob: "blob"
        case .entries: "key"
        case .existence: "list"
        case .live, .ready: "health"
        case .metrics: "metrics"
        case .feed: "feed"
        case .accountRequests, .accountRequest: "account request"
        }
    }
}
