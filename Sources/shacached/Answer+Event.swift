import Logging
import Service
import Storage

extension AnsweredRequest {
    struct LogEvent {
        let level: Logger.Level
        let message: Logger.Message
        let metadata: Logger.Metadata
    }

    /// Its line in the log: every upload, every withdrawal, and whatever has a cause that an operator should know.
    /// Other downloads are in nginx's log.
    var event: LogEvent? {
        if let failure, failure.status.isServerError {
            return LogEvent(level: .error, message: "failed", metadata: metadata)
        }
        if failure?.cause != nil { return LogEvent(level: .warning, message: "failed", metadata: metadata) }
        if let withdrawal {
            // Not of a method that isn't possible there, nor of a question before the request itself.
            guard failure != nil || withdrawal.result != nil else { return nil }
            return LogEvent(level: .info, message: failure == nil ? "withdrawn" : "refused", metadata: metadata)
        }
        guard upload != nil, failure != nil || response.status == .created else { return nil }
        return LogEvent(level: .info, message: failure == nil ? "stored" : "refused", metadata: metadata)
    }

    private var metadata: Logger.Metadata {
        var metadata: Logger.Metadata = [
            "request_id": "\(requestID)", "status": .stringConvertible((failure?.status ?? response.status).rawValue),
        ]
        if let failure {
            metadata["reason"] = "\(failure.name)"
            metadata["detail"] = "\(failure.message)"
            metadata["cause"] = failure.cause.map { "\($0)" }
        }
        if let withdrawal { metadata.merge(withdrawal.metadata) { $1 } }
        guard let upload else { return metadata }
        metadata["target"] = "\(upload.target)"
        metadata["client"] = "\(upload.clientAddress)"
        metadata["account"] = upload.account.map { "\($0.name)" }
        metadata["key"] = upload.key.map { "\($0.text)" }
        metadata["sha512"] = upload.sha512.map { "\($0)" }
        metadata["bytes"] = upload.bytes.map { .stringConvertible($0) }
        let stages = [("total", upload.start.duration(to: .now))] + upload.stages
        for (name, duration) in stages {
            metadata["\(name)_milliseconds"] = .stringConvertible(Int(duration / .milliseconds(1)))
        }
        return metadata
    }
}

extension WithdrawalAttempt {
    fileprivate var metadata: Logger.Metadata {
        var metadata: Logger.Metadata = ["target": "withdrawal", "client": "\(clientAddress)"]
        metadata["account"] = account.map { "\($0.name)" }
        metadata["key"] = key.map { "\($0.text)" }
        metadata["sha512"] = sha512.map { "\($0)" }
        metadata["because"] = reason.map { "\($0.text)" }
        metadata["withdrawal"] = result.map { .stringConvertible($0.number) }
        metadata["count"] = result.map { .stringConvertible($0.count) }
        return metadata
    }
}
