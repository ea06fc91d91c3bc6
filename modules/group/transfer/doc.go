// Package transfer moves groups into and out of a database, as a file with one JSON object
// per line. It also reads all data about one user.
//
// An [Importer] reads the file four times: to check it, to write groups and their messages,
// to write bans, and to write members and invites. In memory it keeps a few numbers for
// each group, but no lines. It only adds, and leaves existing data unchanged. So an
// interrupted import continues when it is repeated.
//
// An [Encoder] writes such a file. The package uses no SQL: sqlstore.Store implements
// [Store], and sqlstore.Export reads what an Encoder writes.
package transfer
