# The load of the cluster checks, compiled into the cache. Sourced after lib.sh, never run.
install_cluster_load() { javac -Xlint:all -Werror -d "$PWD/classes" -cp "$KAFKA_LIBS/*" "$compat"/cluster/*.java; }
need_cluster_load() { # sets CLUSTER_CP
  need_kafka_jars
  have javac || die "javac is needed (a JDK, 17 or newer)"
  local dir; dir=$MILLRACE_CACHE/cluster-$(digest "$compat/java/pom.xml" "$compat"/cluster/*.java)
  once "$dir" install_cluster_load || die "the load of the cluster checks did not compile"
  CLUSTER_CP="$dir/classes:$KAFKA_LIBS/*"
}
