# build_target.sh SOURCE_DIRECTORY OUTPUT_DIRECTORY COMPILER LINK-FLAG FLAGS...: the stack target, an
# executable and three libraries, built as most code is: optimized, without frame pointers.
set -e
source=$1 output=$2 compiler=$3
shift 3
link=$1
shift
flags="-O2 -g -fomit-frame-pointer -I$source $*"
mkdir -p "$output"
for library in a b c; do
	$compiler $flags -fPIC -shared -DSTEPS=steps_$library \
		-DSIGNAL_STEPS=signal_steps_$library "$source/steps.c" \
		-o "$output/libsteps_$library.so"
done
$compiler $flags -x c++ -c "$source/steps_cxx.cc" -o "$output/steps_cxx.o"
$compiler $flags $link "$source/stack_target.c" "$output/steps_cxx.o" -L"$output" -lsteps_a -lsteps_b \
	-lsteps_c -lstdc++ -lpthread -Wl,-rpath,'$ORIGIN' -Wl,--export-dynamic \
	-o "$output/stack_target"
