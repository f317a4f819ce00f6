public import Storage

extension Configuration {
    /// What `body` makes of the store.
    ///
    /// - Throws: for a `StoreError` one that names the directory: an operator needs it, and a client must not learn it.
    public func withStore<Result>(_ body: (LocalBlobs) throws -> Result) throws -> Result {
        do {
            return try body(LocalBlobs(directory: store.directory))
        } catch let error as StoreError {
            throw ConfigurationError(description: "\(store.directory): \(error)")
        }
    }
}
