// Package transfer moves groups into and out of a database, as a file with one JSON object
// a line. It also reads out all that the database keeps about one user.
//
// An [Importer] reads the file three times: to check all of it, to write groups and their
// messages, and to write members, bans and invites. It keeps a few numbers for each group of
// the file in memory, and no lines. It only adds: what is there already stays as it is. So an
// import that was interrupted goes on when it is repeated.
//
// An [Encoder] writes such a file. The package knows no SQL: sqlstore.Store fulfils [Store],
// and sqlstore.Export reads what an Encoder writes.
package transfer
